// Writes the table of emoji by their short names, in the order of a picker: { "grinning": "😀", … }.
import { gemoji } from "gemoji";
const table = {};
for (const { emoji, names } of gemoji) for (const name of names) table[name] = emoji;
process.stdout.write(JSON.stringify(table));
