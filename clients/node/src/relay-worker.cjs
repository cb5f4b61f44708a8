// The thread of the relay: it puts the key of the workspace that is meant in place of a request's, and passes
// bytes on in both directions as they are, broken answers included. One connection carries one request, so that
// bodies need not be understood.
"use strict";

const net = require("node:net");
const { parentPort, workerData } = require("node:worker_threads");

const MAX_HEAD_BYTES = 64 * 1024;
const OURS = /^\/(v1|_sandtable)(\/|\?|$)/;
const SECRET = ["x-api-key", "authorization"];
const FORWARDED = ["x-forwarded-host", "x-forwarded-proto"];
const DROPPED = [...SECRET, ...FORWARDED, "host", "connection", "keep-alive", "proxy-authorization", "cookie"];

let current;
let fallback;

parentPort.on("message", (told) => {
  ({ current, fallback } = told);
  done();
});

const server = net.createServer({ allowHalfOpen: true, noDelay: true }, serve);
server.listen(0, "127.0.0.1", () => {
  workerData.port.postMessage(`http://127.0.0.1:${server.address().port}`);
  done();
});

function done() {
  Atomics.add(workerData.counter, 0, 1);
  Atomics.notify(workerData.counter, 0);
}

function serve(client) {
  let data = Buffer.alloc(0);
  const collect = (chunk) => {
    data = Buffer.concat([data, chunk]);
    const end = data.indexOf("\r\n\r\n");
    if (end < 0) {
      if (data.length > MAX_HEAD_BYTES) client.destroy();
      return;
    }
    client.off("data", collect).off("end", leave).pause();
    pass(client, data.toString("latin1", 0, end).split("\r\n"), data.subarray(end + 4));
  };
  const leave = () => client.destroy();
  client.on("error", leave).on("data", collect).on("end", leave);
}

function pass(client, head, body) {
  const key = keyOf(head);
  // Whatever the key is, that of an earlier test included: clients are kept and used again.
  const target = current ?? fallback;
  if (!target) {
    refuse(client, "no test with `useSandtable` runs, and there is no server for the whole run: docs of `sandtable/vitest/setup`");
    return;
  }
  const url = new URL(target.url);
  const upstream = net.connect({ host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(url.port || 80), noDelay: true });
  let answered = false;
  upstream.once("connect", () => {
    upstream.write(rewrite(head, url, target.key, key));
    upstream.write(body);
    client.on("data", (chunk) => {
      // A server that has answered early no longer reads; its answer is still on the way.
      if (upstream.writable && !upstream.write(chunk)) {
        client.pause();
        upstream.once("drain", () => client.resume());
      }
    });
    client.resume();
  });
  upstream.on("data", () => (answered = true)).pipe(client);
  upstream.on("error", (error) => {
    if (error.code === "ECONNRESET") client.resetAndDestroy();
    else if (answered) client.destroy();
    else refuse(client, `sandtable does not answer: ${error.message}`);
  });
  // That the client went, the server learns at once.
  client.on("end", () => upstream.destroy()).on("close", () => upstream.destroy());
}

const nameOf = (line) => line.slice(0, Math.max(line.indexOf(":"), 0)).trim().toLowerCase();

function valueOf(head, names) {
  const line = head.slice(1).find((each) => names.includes(nameOf(each)));
  return line?.slice(line.indexOf(":") + 1).trim();
}

const keyOf = (head) => valueOf(head, SECRET)?.replace(/^Bearer /, "");

function rewrite(head, url, key, given) {
  const [method, target = "/", version = "HTTP/1.1"] = head[0].split(" ");
  // Some clients take `/v1` for a part of the base URL.
  const wanted = OURS.test(target) ? target : `/v1${target}`;
  const lines = [`${method} ${url.pathname.replace(/\/$/, "")}${wanted} ${version}`, `host: ${url.host}`, "connection: close"];
  // Where an answer names the server, the client has to come this way again.
  const host = valueOf(head, ["host"]);
  if (host) lines.push(`x-forwarded-host: ${host}`, "x-forwarded-proto: http");
  // A client without a key is to be told so by the server.
  if (given) lines.push(`x-api-key: ${key}`);
  lines.push(...head.slice(1).filter((line) => !DROPPED.includes(nameOf(line))));
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

function refuse(client, message) {
  const body = JSON.stringify({ type: "error", error: { type: "permission_error", message } });
  const head = ["HTTP/1.1 403 Forbidden", "content-type: application/json", `content-length: ${Buffer.byteLength(body)}`, "connection: close"];
  client.on("data", () => {}).on("end", () => client.destroy());
  client.resume();
  client.end(`${head.join("\r\n")}\r\n\r\n${body}`);
}
