import { Button } from '@/components/ui/button';
import { CopyButton } from '@/components/ui/copy';
import { Dialog } from '@/components/ui/dialog';
import { Until } from '@/components/when';
import { useTexts } from '@/texts';
import { useAdminTexts } from '../texts';

/** A link that lets a person in once. It is shown now and never again. */
export type ShownLink = { kind: 'invitation' | 'reset'; email: string; token: string; expiresAt: string };

/** The address that the token belongs to. What stands after the `#` is sent to no server. */
export function linkOf({ kind, token }: ShownLink, page: string = location.origin): string {
  return `${new URL(kind === 'reset' ? '/new-password' : '/invitation', page).href}#${encodeURIComponent(token)}`;
}

export function LinkDialog({ link, onClose }: { link: ShownLink | null; onClose: () => void }) {
  const { common } = useTexts();
  const { users } = useAdminTexts();
  return (
    <Dialog
      open={link !== null}
      onOpenChange={(open) => open || onClose()}
      title={link ? users.linkTitles[link.kind](link.email) : ''}
      text={users.linkText}
      wide
      firm
      actions={<Button onClick={onClose}>{common.close}</Button>}
    >
      {link ? (
        <>
          <div className="flex items-start gap-2 rounded-lg bg-sunken p-3">
            <code className="min-w-0 flex-1 font-mono text-xs break-all select-all">{linkOf(link)}</code>
            <CopyButton value={linkOf(link)} what={users.link} />
          </div>
          <p className="mt-2 text-xs text-muted">
            {users.linkExpires} <Until at={link.expiresAt} />
          </p>
        </>
      ) : null}
    </Dialog>
  );
}
