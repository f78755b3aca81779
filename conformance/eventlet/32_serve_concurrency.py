"""serve with a limit serves no more at once; the others are connected and wait their turn."""
import eventlet


def handle(connection, address):
    name = connection.recv(100).decode()
    print(name, 'is served')
    connection.sendall(b'hello')
    connection.recv(100)
    print(name, 'left')


def client(name):
    connection = eventlet.connect(listener.getsockname())
    print(name, 'connected')
    connection.sendall(name.encode())
    connection.recv(100)
    eventlet.sleep(0.2)
    connection.close()


listener = eventlet.listen(('127.0.0.1', 0))
server = eventlet.spawn(eventlet.serve, listener, handle, concurrency=2)
threads = []
for name in ('a', 'b', 'c', 'd'):
    threads.append(eventlet.spawn(client, name))
    eventlet.sleep(0.04)
for thread in threads:
    thread.wait()
eventlet.sleep(0.02)
server.kill()
print('server dead:', server.dead)
