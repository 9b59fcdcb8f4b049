import qrcode from 'qrcode-generator';
import { useMemo } from 'react';

/** A QR code, drawn here: the secret in it goes nowhere. Dark on light in both themes, as cameras want it. */
export function QrCode({ text, label }: { text: string; label: string }) {
  const { size, path } = useMemo(() => {
    const code = qrcode(0, 'M');
    code.addData(text);
    code.make();
    const count = code.getModuleCount();
    let drawn = '';
    for (let row = 0; row < count; row += 1) {
      for (let column = 0; column < count; column += 1) {
        if (code.isDark(row, column)) drawn += `M${column + 2} ${row + 2}h1v1h-1z`;
      }
    }
    return { size: count + 4, path: drawn };
  }, [text]);
  return (
    <svg role="img" aria-label={label} viewBox={`0 0 ${size} ${size}`} className="size-44 rounded-lg border bg-white">
      <path d={path} fill="#000" />
    </svg>
  );
}
