import { QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { queryClient } from '@/api/query-client';
import { watchSession } from '@/api/session';
import { Toasts } from '@/components/toasts';
import { router } from '@/router';
import { loadTexts, preferredLanguage, TextsProvider } from '@/texts';
import './app.css';

const root = document.getElementById('root');
if (!root) throw new Error('the page has no root');

const language = preferredLanguage();
const texts = await loadTexts(language);
watchSession();

createRoot(root).render(
  <StrictMode>
    <TextsProvider initial={{ language, texts }}>
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
        <Toasts />
      </QueryClientProvider>
    </TextsProvider>
  </StrictMode>,
);
