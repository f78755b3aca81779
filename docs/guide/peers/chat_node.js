#!/usr/bin/env node
// A chat server: node chat_node.js [HOST:PORT] [FILE] [IDLE_MS]
'use strict';

const fs = require('node:fs');
const net = require('node:net');
const { StringDecoder } = require('node:string_decoder');

const LINE_MAX = 1024;
const WAITING_MAX = 64 * 1024;

const clients = new Map();
let guests = 0;

function tellAll(text, except) {
  for (const client of clients.values()) {
    if (client === except) continue;
    client.write(`${text}\n`);
    // A client that does not read must not fill our memory.
    if (client.writableLength > WAITING_MAX) client.destroy();
  }
}

/** Splits chunks into lines, and throws if a line has no end. */
class LineSplitter {
  #decoder = new StringDecoder('utf8');
  #rest = '';

  split(bytes) {
    const lines = (this.#rest + this.#decoder.write(bytes)).split(/\r?\n/);
    this.#rest = lines.pop();
    if (this.#rest.length > LINE_MAX) throw new Error(`a line is longer than ${LINE_MAX} bytes`);
    return lines;
  }
}

function serve(socket, idleMs) {
  guests += 1;
  const name = `guest${guests}`;
  clients.set(name, socket);
  socket.write(`* you are ${name}\n`);
  tellAll(`* ${name} joined`, socket);
  const idle = setTimeout(() => {
    socket.write('* you are idle: goodbye\n');
    socket.destroySoon();
  }, idleMs);
  const splitter = new LineSplitter();
  socket.on('data', (bytes) => {
    try {
      for (const line of splitter.split(bytes)) {
        idle.refresh();
        tellAll(`${name}: ${line}`, socket);
      }
    } catch (error) {
      socket.destroy(error);
    }
  });
  socket.on('error', (error) => console.error(`${name}: ${error.message}`));
  socket.on('close', () => {
    clearTimeout(idle);
    clients.delete(name);
    tellAll(`* ${name} left`);
  });
}

/** Tells all the lines that are appended to a file from now on. */
function tail(path) {
  const splitter = new LineSplitter();
  let position = fs.statSync(path).size;
  let changes = 0;
  function read() {
    changes += 1;
    if (changes > 1) return; // another read follows the one that is under way
    const stream = fs.createReadStream(path, { start: position });
    stream.on('data', (bytes) => {
      position += bytes.length;
      for (const line of splitter.split(bytes)) tellAll(`log: ${line}`);
    });
    stream.on('error', (error) => console.error(error.message));
    stream.on('close', () => {
      const hasChanged = changes > 1;
      changes = 0;
      if (hasChanged) read();
    });
  }
  return fs.watch(path, read);
}

function main([address = '127.0.0.1:8080', path, idleMs = '300000']) {
  const server = net.createServer((socket) => serve(socket, Number(idleMs)));
  const watcher = path && tail(path);
  const [host, port] = address.split(':');
  server.listen(port, host, () => {
    console.log(`listening on ${host}:${server.address().port}`);
  });
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      tellAll('* the server stops');
      for (const client of clients.values()) client.destroySoon();
      server.close(() => console.log('stopped'));
      watcher?.close();
    });
  }
}

main(process.argv.slice(2));
