// Says of each configuration file whether it is what the schema describes: one JSON array, for each
// file the list of its mistakes, each as the place and what is wrong there.

import { readFileSync } from 'node:fs';
import { extname } from 'node:path';
import Ajv from 'ajv';
import { parse as parseToml } from 'smol-toml';
import { parse as parseYaml } from 'yaml';

const [schema, ...files] = process.argv.slice(2);
const parsers = { '.yaml': parseYaml, '.toml': parseToml, '.json': JSON.parse };

// Strict, so that a keyword that is misspelt or without effect is an error too.
const ajv = new Ajv({ strict: true, strictRequired: false, allErrors: true, allowUnionTypes: true });
const validate = ajv.compile(JSON.parse(readFileSync(schema, 'utf8')));

const mistakes = files.map((file) => {
  const read = parsers[extname(file)];
  validate(read(readFileSync(file, 'utf8')));
  return (validate.errors ?? []).map(({ instancePath, message, params }) =>
    [instancePath, message, ...Object.values(params)].join(' '));
});
console.log(JSON.stringify(mistakes));
