import { type FSWatcher, watch } from 'node:fs';

/** Watches folders for new and renamed files. Where the system cannot watch, the caller's own polling has to do. */
export interface FolderWatch {
  /** Resolves at the next change, at the latest after `milliseconds`; rejects when the signal is aborted. */
  change(milliseconds: number, signal: AbortSignal): Promise<void>;
  /** Watches these folders, and no others, from now on. */
  follow(folders: readonly string[]): void;
  close(): void;
}

/** `isOfInterest` sees the changed file's name, which keeps logs that grow from waking us. */
export function watchFolders(isOfInterest: (fileName: string) => boolean): FolderWatch {
  const watchers = new Map<string, FSWatcher>();
  let isChanged = false;
  let wake: () => void = () => undefined;
  const changed = () => {
    isChanged = true;
    wake();
  };

  function start(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, (_event, fileName) => {
        if (fileName === null || isOfInterest(fileName)) changed();
      });
      watcher.on('error', () => stop(folder));
      watchers.set(folder, watcher);
    } catch {
      // Not there yet, or no more watches allowed (ENOSPC): polling finds it.
    }
  }

  function stop(folder: string): void {
    watchers.get(folder)?.close();
    watchers.delete(folder);
  }

  return {
    follow(folders) {
      for (const folder of [...watchers.keys()]) if (!folders.includes(folder)) stop(folder);
      for (const folder of folders) if (!watchers.has(folder)) start(folder);
    },
    change: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(done, isChanged ? 0 : milliseconds);
        const aborted = () => {
          clearTimeout(timer);
          reject(signal.reason);
        };
        function done(): void {
          clearTimeout(timer);
          signal.removeEventListener('abort', aborted);
          isChanged = false;
          wake = () => undefined;
          resolve();
        }
        wake = done;
        if (signal.aborted) aborted();
        else signal.addEventListener('abort', aborted, { once: true });
      }),
    close() {
      for (const folder of [...watchers.keys()]) stop(folder);
    },
  };
}
