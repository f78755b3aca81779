"""A pool of resources makes them when needed, up to its size; then get waits for a put."""
import eventlet
from eventlet.pools import Pool, TokenPool


def pool_of_numbers(**options):
    made = []

    def create():
        made.append(len(made))
        print('made', made[-1])
        return made[-1]

    return Pool(create=create, **options)


pool = pool_of_numbers(min_size=1, max_size=2)
print('free', pool.free())
a, b = pool.get(), pool.get()
print('got', a, b, 'free', pool.free())


def waiter(name):
    with pool.item() as item:
        print(name, 'got', item)
    print(name, 'gave it back')


thread = eventlet.spawn(waiter, 'waiter')
eventlet.sleep(0)
print('waiting', pool.waiting())
pool.put(b)
print('put', b)
thread.wait()
pool.put(a)
print('free', pool.free(), 'the oldest first:', pool.get(), pool.get())

stack = pool_of_numbers(max_size=3, order_as_stack=True)
items = [stack.get() for _ in range(3)]
for item in items:
    stack.put(item)
print('the newest first:', stack.get(), stack.get(), stack.get())
try:
    with pool_of_numbers(max_size=1).item() as item:
        raise ValueError('broken')
except ValueError:
    print('an error gives back, too')
tokens = TokenPool(max_size=1)
token = tokens.get()
with eventlet.Timeout(0.02, False):
    tokens.get()
    print('never printed')
tokens.put(token)
print('tokens free', tokens.free())
