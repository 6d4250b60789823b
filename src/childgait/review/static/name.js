"use strict";
import {get, go, send} from "./common.js";

get("form").addEventListener("submit", async event => {
  event.preventDefault();
  const answer = await send("/api/name", {name: get("name").value});
  if (answer) go(answer.next);
});
