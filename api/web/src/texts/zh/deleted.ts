import type { deleted as en } from '../en/deleted';

export const deleted: typeof en = {
  title: '最近删除',
  text: '在永久移除之前，您可以恢复已删除的实例，文件、令牌和地址都不变。',
  back: '实例',
  none: '最近没有删除实例',
  noneText: '您删除的实例会列在这里，直到被永久移除。',
  sizeUnknown: '大小未知',
  deletedAt: '删除时间',
  removedAt: '永久移除',
  restore: '恢复',
  restored: (name) => `正在恢复 ${name}`,
  failed: (name) => `无法恢复 ${name}`,
  rename: {
    title: (name) => `以其他名称恢复 ${name}`,
    text: '您现在有另一个同名实例。',
    label: '名称',
  },
};
