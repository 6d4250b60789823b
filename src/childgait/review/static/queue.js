"use strict";
import {offerUndo, pageData} from "./common.js";

const versions = pageData();
offerUndo((table, video) => versions[video][table]);
