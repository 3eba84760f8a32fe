// Loaded before every test file. Tests must not depend on keys that happen to be in the environment.
for (const name of Object.keys(process.env)) {
  if (/_(API_)?KEY$/.test(name) || name.startsWith('BIFROST_') || name.startsWith('ASBRU_APP')) {
    delete process.env[name]
  }
}
