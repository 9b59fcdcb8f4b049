// Sign-in and accounts: the first administrator, an invited user, and the pages of one's own account. The parts are in
// `people/`; the administrator and the other user have a browser each.
//
//   CLAWDEPLOY_TEST_SETUP_TOKEN=… CLAWDEPLOY_TEST_PASSWORD=… node people.mjs --base URL --email EMAIL
import { activity, changePassword, endSession, tokens } from './people/account.mjs';
import { accept, invite, links, ordinary } from './people/invitation.mjs';
import { askedFor, lost, recoveryCodes, resetByLink, switchOff, switchOn } from './people/second-factor.mjs';
import { setUp, setUpAlready } from './people/setup.mjs';
import { beyond, oneself, quotas, reactivate, roles, suspend } from './people/standing.mjs';
import { appearance, chinese, doorInChinese } from './people/taste.mjs';
import { walk } from './walk.mjs';

await walk([
  ...[setUp, setUpAlready],
  ...[invite, accept, ordinary, links],
  ...[suspend, reactivate, roles, quotas, beyond, oneself],
  ...[switchOn, recoveryCodes, askedFor, lost, resetByLink, switchOff],
  ...[changePassword, endSession, tokens, activity],
  ...[appearance, chinese, doorInChinese],
]);
