import { ExternalLink } from 'lucide-react';
import { useTexts } from '@/texts';
import { Button } from './ui/button';
import { Dialog } from './ui/dialog';

/** Where the browser has kept a tab from being opened: a click of one's own opens it. */
export default function DashboardBlocked({ link, onClose }: { link: string; onClose: () => void }) {
  const { access } = useTexts().instance;
  return (
    <Dialog
      open
      onOpenChange={onClose}
      title={access.blocked}
      text={access.blockedText}
      actions={
        <Button asChild>
          <a href={link} target="_blank" rel="noopener noreferrer" onClick={onClose}>
            <ExternalLink aria-hidden />
            {access.blockedLink}
          </a>
        </Button>
      }
    />
  );
}
