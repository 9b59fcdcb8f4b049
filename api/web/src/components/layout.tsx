// What is around every page of somebody who is signed in: a top bar, and beside it nothing that takes room from a phone.
import { Link, Outlet } from '@tanstack/react-router';
import { Boxes, ShieldCheck } from 'lucide-react';
import { useEffect, useState } from 'react';
import { useMe } from '@/api/session';
import { useTexts } from '@/texts';
import { AccountMenu } from './account-menu';
import { Logo } from './logo';

export function Layout() {
  const { common } = useTexts();
  const me = useMe();
  return (
    <>
      <a
        href="#content"
        className="sr-only z-50 rounded-lg bg-primary px-4 py-2 text-on-primary focus:not-sr-only focus:fixed focus:top-3 focus:left-3"
      >
        {common.skip}
      </a>
      <header className="sticky top-0 z-30 border-b bg-canvas/85 backdrop-blur-md">
        <div className="mx-auto flex h-14 max-w-300 items-center gap-2 px-4 sm:gap-6 sm:px-6">
          <Link to="/instances" className="flex items-center gap-2.5 rounded-md font-semibold tracking-tight">
            <Logo className="size-7" />
            <span className="max-[26rem]:sr-only">{common.product}</span>
          </Link>
          <nav aria-label={common.nav.label} className="flex flex-1 items-center gap-1">
            <NavLink to="/instances" icon={<Boxes aria-hidden />} label={common.nav.instances} />
            {me?.role === 'admin' ? (
              <NavLink to="/admin" icon={<ShieldCheck aria-hidden />} label={common.nav.admin} />
            ) : null}
          </nav>
          <AccountMenu />
        </div>
      </header>
      <Offline />
      <main id="content" tabIndex={-1} className="px-4 py-6 outline-none sm:px-6 sm:py-8">
        <Outlet />
      </main>
    </>
  );
}

function NavLink({ to, icon, label }: { to: '/instances' | '/admin'; icon: React.ReactNode; label: string }) {
  return (
    <Link
      to={to}
      className="flex items-center gap-2 rounded-lg px-2.5 py-1.5 font-medium text-muted transition-colors hover:bg-ink/6 hover:text-ink data-[status=active]:bg-ink/7 data-[status=active]:text-ink sm:px-3 [&_svg]:size-4"
    >
      {icon}
      <span className="max-sm:sr-only">{label}</span>
    </Link>
  );
}

/** Says so while the browser itself knows that it is offline. */
function Offline() {
  const { common } = useTexts();
  const [online, setOnline] = useState(navigator.onLine);
  useEffect(() => {
    const look = () => setOnline(navigator.onLine);
    addEventListener('online', look);
    addEventListener('offline', look);
    return () => {
      removeEventListener('online', look);
      removeEventListener('offline', look);
    };
  }, []);
  return online ? null : (
    <p role="status" className="bg-warn-soft px-4 py-2 text-center text-warn">
      {common.offline}
    </p>
  );
}
