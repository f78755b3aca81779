"""A handler that raises StopServe ends serve; any other exception comes out of serve."""
import eventlet
from eventlet import debug

debug.hub_exceptions(False)


def handle(connection, address):
    command = connection.recv(100).decode()
    print('handler got', command)
    if command == 'stop':
        raise eventlet.StopServe()
    if command == 'fail':
        raise ValueError('broken')
    connection.sendall(b'fine')


def client(command):
    connection = eventlet.connect(listener.getsockname())
    connection.sendall(command.encode())
    answer = connection.recv(100).decode()
    connection.close()
    print('client got', answer or 'the end')


for last in ('stop', 'fail'):
    listener = eventlet.listen(('127.0.0.1', 0))
    server = eventlet.spawn(eventlet.serve, listener, handle)
    client('work')
    client(last)
    try:
        server.wait()
        print('serve returned')
    except ValueError as error:
        print('serve raised', error)
    listener.close()
