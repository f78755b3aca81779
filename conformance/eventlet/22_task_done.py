"""A Queue's join waits until task_done was called for each item."""
import eventlet
from eventlet.queue import Queue

queue = Queue()


def worker(name):
    while True:
        item = queue.get()
        eventlet.sleep(0.02 * item)
        print(name, 'did', item)
        queue.task_done()


queue.join()
print('nothing to do')
threads = [eventlet.spawn(worker, 'a')]
for item in (1, 2, 1):
    queue.put(item)
print('unfinished', queue.unfinished_tasks)
with eventlet.Timeout(0.04, False):
    queue.join()
    print('never printed')
print('timed out, unfinished', queue.unfinished_tasks)
queue.join()
print('joined, unfinished', queue.unfinished_tasks)
try:
    queue.task_done()
except ValueError:
    print('done more often than put')
queue.put(1)
queue.join()
print('joined again')
threads[0].kill()
