// Calls the API through the types of ./schema.ts, made by openapi-typescript.
// Arguments: the API's address, the URL of a picture, a file with a picture. Prints what it got.

import { readFile } from "node:fs/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Answer = components["schemas"]["Answer"];
type Problem = components["schemas"]["Problem"];

const [address, url, file] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl: address });

function said(result: Answer | Problem | undefined): string {
  if (!result) throw new Error("no answer");
  return "predictions" in result
    ? result.predictions[0]!.breed
    : `${result.status} ${result.type}`;
}

const byUrl = await client.POST("/predict", { body: { url, top_k: 2 } });
const picture = new Blob([new Uint8Array(await readFile(file))]);
const byPicture = await client.POST("/predict", {
  params: { query: { top_k: 1 } },
  headers: { "Content-Type": "image/png" },
  body: "",
  bodySerializer: () => picture,
});
const byGet = await client.GET("/predict", { params: { query: { url } } });
const problem = await client.POST("/predict", { body: { url: "dog.jpg" } });
const batch = await client.POST("/predict/batch", { body: { urls: [url, "dog.jpg"] } });
const breeds = await client.GET("/breeds");
const health = await client.GET("/health", { params: { query: { deep: true } } });

console.log(
  JSON.stringify({
    url: said(byUrl.data),
    picture: said(byPicture.data),
    get: said(byGet.data),
    problem: said(problem.error),
    batch: batch.data?.results.map(said),
    breeds: breeds.data?.breeds.length,
    health: health.data?.status,
  }),
);
