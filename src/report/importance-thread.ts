import { parentPort, workerData } from 'node:worker_threads';
import { type ImportanceQuestion, importances } from '../search/importance.ts';

// The other side of importance.ts: a forest over hundreds of trials takes a second, and the worker has heartbeats to send meanwhile.
parentPort?.postMessage(importances(workerData as ImportanceQuestion));
