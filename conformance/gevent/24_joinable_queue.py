"""A JoinableQueue's join waits until task_done was called for each item."""
import gevent
from gevent.queue import JoinableQueue

queue = JoinableQueue()


def worker(name):
    while True:
        item = queue.get()
        gevent.sleep(0.04 * item)
        print(name, 'did', item)
        queue.task_done()


workers = [gevent.spawn(worker, name) for name in 'ab']
print('nothing to do:', queue.join())
for item in (1, 4, 2):
    queue.put(item)
print('timed out, unfinished:', not queue.join(timeout=0.01), queue.unfinished_tasks)
queue.join()
print('joined, unfinished:', queue.unfinished_tasks)
try:
    queue.task_done()
except ValueError:
    print('done more often than put')
queue.put(1)
gevent.spawn(lambda: (queue.join(), print('another one joined, too')))
queue.join()
print('joined again')
gevent.sleep(0)
gevent.killall(workers)
