// The Go comparator: goroutines on one thread, as an echo server and as a runtime of tasks.
//
// Usage: green echo ADDRESS:PORT | green tasks
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"time"
)

const bufferBytes = 32 * 1024

func main() {
	runtime.GOMAXPROCS(1)
	switch {
	case len(os.Args) == 3 && os.Args[1] == "echo":
		serve(os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "tasks":
		runJobs()
	default:
		log.Fatal("usage: green echo ADDRESS:PORT | green tasks")
	}
}

// serve echoes until the process ends. Accepted connections have TCP_NODELAY by Go's default.
func serve(address string) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	for {
		connection, err := listener.Accept()
		if err != nil {
			time.Sleep(50 * time.Millisecond) // out of descriptors, most likely
			continue
		}
		go echo(connection)
	}
}

func echo(connection net.Conn) {
	defer connection.Close()
	buffer := make([]byte, bufferBytes)
	for {
		count, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err := connection.Write(buffer[:count]); err != nil {
			return
		}
	}
}

// runJobs does what the lines on stdin say, and tells how long it took: see src/tasks.rs.
func runJobs() {
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var name string
		var count, each int
		fmt.Sscan(strings.TrimSpace(input.Text())+" 0", &name, &count, &each)
		fmt.Println("ns", run(name, count, each).Nanoseconds())
	}
}

func run(name string, count, each int) time.Duration {
	switch name {
	case "yield":
		return yield(count, each)
	case "spawn":
		return spawn(count)
	case "channel":
		return channel(count)
	case "sleep":
		return sleep(count)
	}
	log.Fatalf("no such job: %s", name)
	return 0
}

func yield(tasks, times int) time.Duration {
	var group sync.WaitGroup
	group.Add(tasks)
	for task := 0; task < tasks; task++ {
		go func() {
			for i := 0; i < times; i++ {
				runtime.Gosched()
			}
			group.Done()
		}()
	}
	start := time.Now()
	group.Wait()
	return time.Since(start)
}

func spawn(count int) time.Duration {
	start := time.Now()
	var group sync.WaitGroup
	for i := 0; i < count; i++ {
		group.Add(1)
		go group.Done()
		group.Wait()
	}
	return time.Since(start)
}

func channel(count int) time.Duration {
	there, back := make(chan int), make(chan int)
	go func() {
		for value := range there {
			back <- value
		}
	}()
	start := time.Now()
	for i := 0; i < count; i++ {
		there <- i
		<-back
	}
	elapsed := time.Since(start)
	close(there)
	return elapsed
}

func sleep(count int) time.Duration {
	start := time.Now()
	var group sync.WaitGroup
	group.Add(count)
	for task := 0; task < count; task++ {
		go func() {
			group.Done()
			time.Sleep(time.Hour)
		}()
	}
	group.Wait()
	runtime.Gosched() // the last ones, too, are asleep
	return time.Since(start)
}
