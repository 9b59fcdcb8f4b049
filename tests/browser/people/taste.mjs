// Language and appearance: chosen in the menu or on the sign-in page, and kept.
import assert from 'node:assert/strict';
import { button, field, heading, look, page } from '../walk.mjs';
import { ADMIN, fromMenu, knock, mistake } from './both.mjs';

const language = () => page.evaluate('document.documentElement.lang');
// The page follows the system's setting with an event, so a change may take a moment.
const themeIs = (name) => page.locator(`html[data-theme="${name}"]`).waitFor({ state: 'attached' });

export async function appearance() {
  await themeIs('light');
  await fromMenu('Dark');
  await themeIs('dark');
  await page.reload();
  await heading('Activity').waitFor();
  await themeIs('dark');
  await fromMenu('System');
  await themeIs('light');
}

export async function chinese() {
  assert.equal(await language(), 'en');
  await fromMenu('简体中文');
  await heading('活动记录').waitFor();
  assert.equal(await language(), 'zh-CN');
  await look('activity-chinese');
  await page.reload();
  await heading('活动记录').waitFor();
  await page.getByRole('link', { name: '个人资料', exact: true }).click();
  await page.getByRole('heading', { name: /^两步验证/ }).waitFor();
  await field('当前密码').fill('错误的密码');
  await field('新密码').fill('short');
  await button('修改密码').click();
  await mistake('新密码', '太短');
  await look('profile-chinese');
}

/** The sign-in page in Chinese, with an error, and back in English. */
export async function doorInChinese() {
  await fromMenu('退出登录');
  await heading('登录').waitFor();
  await look('sign-in-chinese');
  await field('邮箱').fill(ADMIN.email);
  await field('密码').fill('错误的密码');
  await button('登录').click();
  await mistake('密码', '邮箱或密码错误，或账户已被停用。');
  assert.doesNotMatch(await page.innerText('main'), /[a-z]{3,} [a-z]{2,}/, 'no text may be in English');
  await button('English').click();
  await heading('Sign in').waitFor();
  assert.equal(await language(), 'en');
  await knock(ADMIN);
  await heading('Instances').waitFor();
}
