"""close() wakes who reads from the socket, with an error; the peer reads the end."""
import errno

import gevent
from gevent import socket

a, b = socket.socketpair()


def reader():
    print('reader waits')
    try:
        a.recv(100)
    except OSError as error:
        print('reader failed:', errno.errorcode[error.errno])


def peer():
    print('peer read', b.recv(100).decode() or 'the end')


tasks = [gevent.spawn(reader), gevent.spawn(peer)]
gevent.sleep(0.02)
print('close')
a.close()
print('closed')
gevent.joinall(tasks)
try:
    a.recv(100)
except OSError as error:
    print('a later recv:', errno.errorcode[error.errno])

listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen()


def accepts():
    try:
        listener.accept()
    except OSError as error:
        print('accept failed:', errno.errorcode[error.errno])


task = gevent.spawn(accepts)
gevent.sleep(0.02)
listener.close()
task.join()
