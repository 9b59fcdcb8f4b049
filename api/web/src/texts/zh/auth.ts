import type { Texts } from '../index';

export const auth: Texts['auth'] = {
  tagline: '属于您自己的 OpenClaw，数秒即可运行。',
  email: '邮箱',
  password: '密码',
  newPassword: '新密码',
  passwordHelp: '至少 12 个字符。几个互不相关的词既好记又难猜。',
  showPassword: '显示密码',
  hidePassword: '隐藏密码',
  signIn: {
    title: '登录',
    submit: '登录',
    or: '或',
    oidc: (name) => `使用 ${name} 登录`,
    failed: '邮箱或密码错误。',
    forgotten: '忘记密码？请联系管理员重置。',
  },
  code: {
    title: '两步验证',
    text: '输入验证器应用显示的六位数字，或一个恢复码。',
    label: '验证码',
    submit: '验证',
    back: '使用其他账户',
    failed: '验证码不正确或已被使用，请等待下一个。',
  },
  setup: {
    title: '初始化 ClawDeploy',
    text: '创建第一位管理员。一次性令牌在 API 的日志中，安装程序也会显示它。',
    token: '一次性令牌',
    submit: '创建管理员',
    done: '此系统已完成初始化。',
    goToSignIn: '前往登录',
    needed: '此系统还没有管理员。',
  },
  invitation: {
    title: '接受邀请',
    text: '为您的新账户设置密码。',
    submit: '创建账户',
    missing: '链接不完整，请使用收到的完整链接。',
  },
};
