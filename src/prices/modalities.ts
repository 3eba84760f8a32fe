// What goes into a model and what comes out of it, by the family that its name says. The price list does not tell, and
// most providers' own lists do not either. A model of a family that is not here is said nothing of: a capability that
// is made up is worse than none. The table is written from general knowledge and not checked against any maker's pages;
// what a provider says of its model itself stands before it.

export type Modality = 'text' | 'image' | 'audio' | 'video' | 'file' | 'embeddings'

/** In the names and the form that catalogues of other gateways use. */
export interface Architecture {
  /** Such as `text+image->text`. */
  readonly modality: string
  readonly input_modalities: readonly Modality[]
  readonly output_modalities: readonly Modality[]
}

/** The first one that matches counts, so the special ones of a family stand before the rest of it. */
const families: readonly (readonly [name: RegExp, input: string, output: string])[] = [
  [
    /^text-embedding|^embed-(?:english|multilingual)(?:-light)?-v2|^mistral-embed|^codestral-embed|^gemini-embedding-001|^titan-embed-text/,
    'text',
    'embeddings',
  ],
  [/^embed-(?:english|multilingual)(?:-light)?-v3/, 'text image', 'embeddings'],
  [/whisper|transcribe/, 'audio', 'text'],
  [/^tts-|-tts\b/, 'text', 'audio'],
  [/^gpt-image|^chatgpt-image/, 'text image', 'image'],
  [/^dall-e|^imagen/, 'text', 'image'],
  [/^sora|^veo/, 'text image', 'video'],
  [/^gpt-realtime/, 'text image audio', 'text audio'],
  [/^gpt-4o-(?:mini-)?realtime/, 'text audio', 'text audio'],
  [/^gpt-(?:4o-(?:mini-)?)?audio/, 'text audio', 'text audio'],
  [/^gpt-4o(?:-mini)?-search|^gpt-3\.5|^gpt-oss|^gpt-4(?:-32k|-\d{4})?$/, 'text', 'text'],
  [
    /^(?:chat)?gpt-(?:4o|4\.1|4\.5|4-turbo(?!-preview)|4-vision|5(?!.*(?:image|spark)))/,
    'text image',
    'text',
  ],
  [/^o1-(?:mini|preview)|^o3-mini/, 'text', 'text'],
  [/^o[134](?:-|$)/, 'text image', 'text'],
  [/^claude-(?:2|instant)/, 'text', 'text'],
  [/^claude-/, 'text image file', 'text'],
  [/^gemini-.*-image/, 'text image', 'text image'],
  [
    /^gemini-(?:1\.5|2\.0|2\.5|3)(?!.*(?:live|audio|embedding|computer))/,
    'text image audio video file',
    'text',
  ],
  [/^pixtral|^llama-?4|^llama-?3[.-]2-(?:11|90)b|^grok-(?:4|2-vision)/, 'text image', 'text'],
  [
    /^llama-?3(?!.*(?:vision|vl-|llava|embed|rerank|retriever))|^command-(?!.*vision)|^codestral|^grok-[23](?!.*(?:image|vision))/,
    'text',
    'text',
  ],
  [/^deepseek-(?:chat|reasoner|r1|v[23])/, 'text', 'text'],
]

/** What is known of a model by its name alone; undefined when that is nothing. */
export function architectureOf(model: string): Architecture | undefined {
  const name = familyName(model)
  const found = families.find(([family]) => family.test(name))
  if (!found) return undefined
  const [input, output] = [found[1], found[2]].map((each) => each.split(' ') as Modality[]) as [
    Modality[],
    Modality[],
  ]
  return {
    modality: `${input.join('+')}->${output.join('+')}`,
    input_modalities: input,
    output_modalities: output,
  }
}

/** Without who sells the model, as in `us.anthropic.claude-…`, `meta-llama/Llama-…` and `publishers/…/models/…`. */
function familyName(model: string): string {
  return model
    .slice(model.lastIndexOf('/') + 1)
    .toLowerCase()
    .replace(/^(?:[a-z-]{2,20}\.){1,2}(?=[a-z])/, '')
}
