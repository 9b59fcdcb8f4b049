import { useLanguage } from '@/texts';
import { deleted as en } from '@/texts/en/deleted';
import { deleted as zh } from '@/texts/zh/deleted';

/** The texts of the page of deleted instances. */
export function useDeletedTexts(): typeof en {
  return useLanguage().language === 'zh' ? zh : en;
}
