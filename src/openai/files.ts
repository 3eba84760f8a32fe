import { type FormField, needs, takes, TAKES_PROVIDER } from './form.ts'

// POST /files. Reading and deleting files takes no body.

export const FILE_UPLOAD_FORM: readonly FormField[] = [
  needs('file', 'file', 'The file, with its name.'),
  needs(
    'purpose',
    'string',
    'What it is for: `batch`, `assistants`, `fine-tune`, `vision`, `user_data` …',
  ),
  takes(
    'expires_after',
    'object',
    'When to delete it: `expires_after[anchor]`, `expires_after[seconds]`.',
  ),
  takes(
    'storage_config',
    'object',
    'Where to keep it, for providers that store in a bucket of yours.',
  ),
  TAKES_PROVIDER,
]
