import type { Texts } from '../index';
import { account } from './account';
import { admin } from './admin';
import { auth } from './auth';
import { common } from './common';
import { create } from './create';
import { errors } from './errors';
import { instance } from './instance';
import { instances } from './instances';
import { jobs } from './jobs';
import { terminal } from './terminal';

export const zh: Texts = { account, admin, auth, common, create, errors, instance, instances, jobs, terminal };
