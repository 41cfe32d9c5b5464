// Go's sync.Mutex as locks.rs does it: alone, and where goroutines meet, with the mutex profile off and at Go's own
// choice of one in ten, turn by turn.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"time"
)

func steps(x, n uint64) uint64 {
	for ; n > 0; n-- {
		x = (x ^ x>>7) * 0x9e3779b97f4a7c15
	}
	return x
}

var sink [64]uint64

func free(times uint64) time.Duration {
	var lock sync.Mutex
	var sum uint64
	start := time.Now()
	for n := uint64(0); n < times; n++ {
		lock.Lock()
		sum++
		lock.Unlock()
	}
	sink[0] += sum
	return time.Since(start)
}

func met(goroutines int) func(uint64) time.Duration {
	return func(times uint64) time.Duration {
		var lock sync.Mutex
		var sum uint64
		var all sync.WaitGroup
		start := time.Now()
		for g := 0; g < goroutines; g++ {
			all.Add(1)
			go func() {
				defer all.Done()
				for n := uint64(0); n < times; n++ {
					lock.Lock()
					sum = steps(sum^1, 25)
					lock.Unlock()
					sink[g] += steps(n, 100)
				}
			}()
		}
		all.Wait()
		return time.Since(start)
	}
}

func main() {
	rows := []struct {
		name  string
		run   func(uint64) time.Duration
		times uint64
	}{{"free", free, 200000}, {"2 threads meet", met(2), 5000}, {"4 threads meet", met(4), 5000}}
	for _, row := range rows {
		var with, without, ratios []float64
		for pair := 0; pair < 200; pair++ {
			runtime.SetMutexProfileFraction(0)
			off := float64(row.run(row.times)) / float64(row.times)
			runtime.SetMutexProfileFraction(10)
			on := float64(row.run(row.times)) / float64(row.times)
			with, without, ratios = append(with, on), append(without, off), append(ratios, on/off)
		}
		for _, all := range [][]float64{with, without, ratios} {
			sort.Float64s(all)
		}
		middle := len(with) / 2
		fmt.Printf("%-44s %7.2f ns %7.2f ns   %.3f\n", row.name+": Go's sync.Mutex", with[middle], without[middle], ratios[middle])
	}
}
