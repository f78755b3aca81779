#!/usr/bin/env python3
"""Crawls a site over HTTP/1.0: crawler_gevent.py URL [FETCHERS] [PAGE_SECONDS]"""

import re
import sys
from urllib.parse import urlsplit

import gevent
from gevent import socket, subprocess
from gevent.pool import Pool
from gevent.queue import JoinableQueue

LINK = re.compile(r'href="(/[^"]*)"')


def fetch(host, port, path):
    """The body of a page."""
    with socket.create_connection((host, port)) as connection:
        request = f"GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n"
        connection.sendall(request.encode())
        with connection.makefile("rb") as response:
            status = response.readline().decode().strip()
            while response.readline().strip():
                pass  # a header
            if status.split(" ")[1:2] != ["200"]:
                raise OSError(status)
            return response.read()


def sha256(body):
    """What sha256sum(1) says of a page."""
    output = subprocess.check_output(["sha256sum"], input=body)
    return output.decode().split()[0]


class Crawler:
    def __init__(self, host, port, fetchers, page_seconds):
        self.host = host
        self.port = port
        self.page_seconds = page_seconds
        self.queue = JoinableQueue()
        self.pool = Pool(fetchers)
        self.seen = set()
        self.summary = {}

    def add(self, path):
        if path not in self.seen:
            self.seen.add(path)
            self.queue.put(path)

    def visit(self, path):
        body = fetch(self.host, self.port, path)
        for link in LINK.findall(body.decode(errors="replace")):
            self.add(link)
        return f"{len(body)} bytes, {sha256(body)}"

    def work(self):
        for path in self.queue:
            try:
                with gevent.Timeout(self.page_seconds, TimeoutError("timed out")):
                    self.summary[path] = self.visit(path)
            except (OSError, subprocess.CalledProcessError) as error:
                self.summary[path] = str(error)
            finally:
                self.queue.task_done()

    def crawl(self, path):
        self.add(path)
        for _ in range(self.pool.size):
            self.pool.spawn(self.work)
        self.queue.join()
        self.pool.kill()


def main(url, fetchers="4", page_seconds="10"):
    site = urlsplit(url)
    crawler = Crawler(site.hostname, site.port or 80, int(fetchers), float(page_seconds))
    crawler.crawl(site.path or "/")
    for path, result in sorted(crawler.summary.items()):
        print(f"{path}: {result}")


if __name__ == "__main__":
    main(*sys.argv[1:])
