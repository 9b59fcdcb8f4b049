export const auth = {
  tagline: 'Your own OpenClaw, running in seconds.',
  email: 'Email',
  password: 'Password',
  newPassword: 'New password',
  passwordHelp: 'At least 12 characters. A few unrelated words are easy to remember and hard to guess.',
  showPassword: 'Show password',
  hidePassword: 'Hide password',
  signIn: {
    title: 'Sign in',
    submit: 'Sign in',
    or: 'or',
    oidc: (name: string) => `Continue with ${name}`,
    failed: 'The email or password is wrong, or the account is suspended.',
    forgotten: 'Forgot your password? Ask an administrator to reset it.',
    ended: 'You have been signed out',
    endedText:
      'Your session expired or was ended, your password was changed, or your account was suspended. Sign in to continue where you left off.',
    oidcErrors: {
      oidc_refused: 'The sign-in was cancelled at the identity provider. Nothing has changed.',
      oidc_failed: 'The sign-in at the identity provider failed or took too long. Try again.',
      oidc_unknown_account:
        'There is no account here for that identity, or the account is suspended. Ask an administrator.',
      oidc_email_missing:
        'The identity provider did not send an email address (claim “email”), so no account could be found. Ask an administrator.',
      oidc_email_verified_missing:
        'The identity provider did not say whether your email address is verified (claim “email_verified”). Ask an administrator.',
      oidc_email_unverified:
        'Your email address is not verified with the identity provider. Verify it there, then sign in again.',
      oidc_unavailable: 'The identity provider is not responding. Try again later, or sign in with your password.',
    },
  },
  code: {
    title: 'Two-factor authentication',
    text: 'Enter the six-digit code from your authenticator app, or a recovery code.',
    label: 'Code',
    submit: 'Verify',
    back: 'Use another account',
    failed: 'This code is wrong or has already been used. Wait for the next one.',
  },
  setup: {
    title: 'Set up ClawDeploy',
    text: 'Create the first administrator. The installer printed the one-time token. It is also in the API’s log.',
    token: 'One-time token',
    wrongToken: 'This token is not valid. Copy it from the API’s log.',
    submit: 'Create the administrator',
    done: 'This installation is already set up.',
    goToSignIn: 'Go to sign-in',
  },
  invitation: {
    title: 'Accept your invitation',
    text: 'Choose a password for your new account.',
    submit: 'Create my account',
  },
  reset: {
    title: 'Set a new password',
    text: 'Your old password no longer works. Choose a new one to sign in.',
    submit: 'Set the password',
  },
  link: {
    missing: 'This link is incomplete',
    missingText: 'Open it exactly as it was sent to you.',
    unknown: 'This link is invalid or has expired',
    unknownText:
      'A link works once and expires after a day, or when a newer one is created. Ask an administrator for a new link.',
    code: 'Your account uses two-factor authentication. Enter the code from your authenticator app, or a recovery code.',
  },
};
