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
    failed: 'Email or password is wrong. The same is said of an account that is suspended.',
    forgotten: 'Forgotten your password? Ask an administrator to reset it.',
    ended: 'You have been signed out',
    endedText:
      'The session ran out or was ended, the password was changed, or the account was suspended. Sign in to go on where you were.',
    oidcErrors: {
      oidc_refused: 'The sign-in was broken off over there. Nothing has changed.',
      oidc_failed: 'The sign-in over there did not succeed, or took too long. Try it once more.',
      oidc_unknown_account:
        'Nobody is let in by that identity: there is no such account here, or it is suspended. Ask an administrator.',
      oidc_email_missing:
        'The identity provider did not send an email address (claim “email”), so no account could be found. Ask an administrator.',
      oidc_email_verified_missing:
        'The identity provider did not say whether your email address is verified (claim “email_verified”). Ask an administrator.',
      oidc_email_unverified:
        'Your email address is not verified with the identity provider. Verify it there, then sign in again.',
      oidc_unavailable: 'The other place does not answer as it should. Try again shortly, or use your password.',
    },
  },
  code: {
    title: 'Second factor',
    text: 'Enter the six digits that your authenticator app shows, or one of your recovery codes.',
    label: 'Code',
    submit: 'Verify',
    back: 'Use another account',
    failed: 'This code is not right, or it has been used already. Wait for the next one.',
  },
  setup: {
    title: 'Set up ClawDeploy',
    text: 'Make the first administrator. The one-time token stands in the log of the API, and where the installer printed it.',
    token: 'One-time token',
    wrongToken: 'This is not a token that the API has written to its log.',
    submit: 'Create the administrator',
    done: 'This installation has been set up already.',
    goToSignIn: 'Go to sign-in',
  },
  invitation: {
    title: 'Accept your invitation',
    text: 'Choose a password for your new account.',
    submit: 'Create my account',
  },
  reset: {
    title: 'Set a new password',
    text: 'The old one is no longer good. Choose another one to get back in.',
    submit: 'Set the password',
  },
  link: {
    missing: 'This link is incomplete',
    missingText: 'Open it exactly as it was sent to you.',
    unknown: 'This link is not good, or not any more',
    unknownText: 'It works once, within a day, until a newer one is made. Ask an administrator for another link.',
    code: 'Your account is protected by a second factor: enter the code from your authenticator app, or a recovery code.',
  },
};
