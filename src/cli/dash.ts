/**
 * `-port 8080`, as Go programs take it, → `--port 8080`; `-h` and `-v` are the usual two letters. Unknown names of more
 * than one letter too: taken as a bundle of letters, the complaint would name only the first.
 */
export function doubleDash(argument: string): string {
  if (argument === '-h') return '--help'
  if (argument === '-v') return '--version'
  return /^-[a-z][a-z-]+(?:=.*)?$/s.test(argument) ? `-${argument}` : argument
}
