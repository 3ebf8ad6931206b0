// Writes the tables of emoji into a folder, in the order of a picker: emoji.json by short names, { "grinning": "😀", … }, and
// picker.json by categories, [["Smileys & Emotion", [["😀", "grinning", "smile happy"], …]], …]: short names, and words to be found by.
import { writeFileSync } from "node:fs";
import { gemoji } from "gemoji";
const folder = process.argv[2], table = {}, categories = new Map();
for (const { emoji, names, tags, category } of gemoji) {
  for (const name of names) table[name] = emoji;
  if (!categories.has(category)) categories.set(category, []);
  categories.get(category).push([emoji, names.join(" "), tags.join(" ")]);
}
writeFileSync(`${folder}/emoji.json`, JSON.stringify(table));
writeFileSync(`${folder}/picker.json`, JSON.stringify([...categories]));
