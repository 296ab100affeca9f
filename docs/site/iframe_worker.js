// Browsers start no web worker for pages that are opened from a folder. This class stands for one:
// it runs the worker's script in a hidden frame, so that the site's search works without a server.
function loadScript(page, url) {
  return new Promise((loaded, failed) => {
    const script = page.createElement("script");
    script.src = url;
    script.onload = loaded;
    script.onerror = failed;
    page.body.append(script);
  });
}

class FrameWorker extends EventTarget {
  constructor(url) {
    super();
    this.frame = document.createElement("iframe");
    this.frame.hidden = true;
    document.body.append(this.frame);
    const inside = this.frame.contentWindow;
    inside.postMessage = (data) => {
      const event = new MessageEvent("message", { data });
      this.dispatchEvent(event);
      if (this.onmessage) this.onmessage(event);
    };
    inside.importScripts = async (...urls) => {
      for (const one of urls) await loadScript(inside.document, one);
    };
    this.ready = loadScript(inside.document, url);
  }

  postMessage(data) {
    const event = new MessageEvent("message", { data: structuredClone(data) });
    this.ready.then(() => this.frame.contentWindow.dispatchEvent(event));
  }

  terminate() {
    this.frame.remove();
  }
}

if (location.protocol === "file:") window.Worker = FrameWorker;
