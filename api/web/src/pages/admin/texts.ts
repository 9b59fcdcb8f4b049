import { useLanguage } from '@/texts';
import { adminPages as en } from '@/texts/en/admin-pages';
import { adminPages as zh } from '@/texts/zh/admin-pages';

/** The texts of the pages for administrators. They come with these pages: nobody else needs them. */
export function useAdminTexts(): typeof en {
  return useLanguage().language === 'zh' ? zh : en;
}
