import { expect, it } from 'vitest';
import { isSoftware } from './renderer';

it('knows graphics cards that are imitated', () => {
  const imitated = [
    'ANGLE (Google, Vulkan 1.3.0 (SwiftShader Device (Subzero)), SwiftShader driver)',
    'llvmpipe (LLVM 15.0.6, 256 bits)',
    'Microsoft Basic Render Driver',
    'Apple Software Renderer',
  ];
  const real = ['ANGLE (NVIDIA, NVIDIA GeForce RTX 3060, OpenGL 4.5)', 'Apple M2', 'Mesa Intel(R) UHD Graphics 620'];
  expect(imitated.map(isSoftware)).toEqual(imitated.map(() => true));
  expect(real.map(isSoftware)).toEqual(real.map(() => false));
});
