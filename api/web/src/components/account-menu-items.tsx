import { useMutation } from '@tanstack/react-query';
import { Link, useNavigate } from '@tanstack/react-router';
import { BookOpen, LogOut, UserRound } from 'lucide-react';
import { call, client } from '@/api/client';
import { signedOut, useMe } from '@/api/session';
import { toast } from '@/components/toasts';
import { wordsFor } from '@/lib/errors';
import { THEMES, useTheme } from '@/lib/theme';
import { LANGUAGES, useLanguage, useTexts } from '@/texts';
import type { LoadedMenuProps } from './ui/later-menu';
import { Menu, MenuChoice, MenuItem, MenuLabel, MenuSeparator } from './ui/menu';

/** What [`AccountMenu`] shows. */
export default function AccountMenuItems(menu: LoadedMenuProps) {
  const texts = useTexts();
  const { nav, themes } = texts.common;
  const me = useMe();
  const navigate = useNavigate();
  const [theme, setTheme] = useTheme();
  const { language, speak } = useLanguage();
  const signOut = useMutation({
    mutationFn: () => call(client.POST('/api/auth/logout')),
    onSuccess: async () => {
      signedOut();
      await navigate({ to: '/sign-in' });
    },
    onError: (error) => toast.error(wordsFor(error, texts)),
  });
  return (
    <Menu {...menu}>
      <MenuLabel className="max-w-64 truncate">{me?.email}</MenuLabel>
      <MenuItem asChild>
        <Link to="/profile">
          <UserRound aria-hidden />
          {nav.profile}
        </Link>
      </MenuItem>
      <MenuItem asChild>
        <a href="/api/docs/" target="_blank" rel="noreferrer">
          <BookOpen aria-hidden />
          {nav.docs}
        </a>
      </MenuItem>
      <MenuSeparator />
      <MenuLabel>{nav.theme}</MenuLabel>
      <MenuChoice
        value={theme}
        onChange={setTheme}
        options={THEMES.map((value) => ({ value, label: themes[value] }))}
      />
      <MenuSeparator />
      <MenuLabel>{nav.language}</MenuLabel>
      <MenuChoice value={language} onChange={speak} options={LANGUAGES} />
      <MenuSeparator />
      <MenuItem onSelect={() => signOut.mutate()}>
        <LogOut aria-hidden />
        {nav.signOut}
      </MenuItem>
    </Menu>
  );
}
