import type { Texts } from '../index';

export const admin: Texts['admin'] = {
  title: '管理',
};
