// An identity provider for tests: oidc-provider, which is certified for OpenID Connect, with a client `panel`.
//
//   node provider.mjs PORT REDIRECT_URI CLIENT_SECRET
//
// Any login is accepted: `eve` has the verified address eve@test.example, and a prefix before a dash (`SHAPES`, such as
// `unverified-eve`) changes the claims to those of other providers. POST /sign with {header, claims} returns a token
// that is signed with the provider's key.

import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import Provider from 'oidc-provider';

const [port, redirectUri, secret] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
const { privateKey } = await generateKeyPair('RS256', { extractable: true });
const jwk = { ...(await exportJWK(privateKey)), kid: 'key-1', use: 'sig', alg: 'RS256' };

const SHAPES = {
  unverified: (email) => ({ email, email_verified: false }),
  cognito: (email) => ({ email, email_verified: 'true' }),
  'entra.edov': (email) => ({ email, xms_edov: '1' }),
  entra: (email) => ({ email }),
  upn: (email) => ({ preferred_username: email }),
};

const provider = new Provider(issuer, {
  clients: [{
    client_id: 'panel',
    client_secret: secret,
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code'],
    response_types: ['code'],
  }],
  jwks: { keys: [jwk] },
  pkce: { required: () => true },
  claims: { openid: ['sub'], email: ['email', 'email_verified', 'xms_edov'], profile: ['name', 'preferred_username'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => {
      const [login, shape] = id.split('-').reverse();
      const email = `${login}@test.example`;
      return { sub: id, name: 'Somebody', ...(SHAPES[shape]?.(email) ?? { email, email_verified: true }) };
    },
  }),
  features: { devInteractions: { enabled: true } },
  cookies: { keys: [secret] },
  ttl: { Session: 600, Grant: 600, Interaction: 600, AccessToken: 600, IdToken: 600 },
});

provider.use(async (ctx, next) => {
  if (ctx.path !== '/sign') return next();
  let text = '';
  for await (const part of ctx.req) text += part;
  const { header, claims } = JSON.parse(text);
  ctx.body = await new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: 'key-1', ...header }).sign(privateKey);
});

provider.listen(Number(port), '127.0.0.1', () => console.log('listening'));
