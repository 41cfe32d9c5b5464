// Regions of Go's runtime/trace as traces.rs does spans: around the same function, while a trace is recorded and thrown
// away, and while none is; alone, and on two goroutines at once.
package main

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"runtime/trace"
	"sort"
	"sync"
	"time"
)

//go:noinline
func work(x uint64) uint64 {
	return (x ^ x>>7) * 0x9e3779b97f4a7c15
}

var sink [16]uint64

func plain(at int, times uint64) {
	x := uint64(1)
	for ; times > 0; times-- {
		x = work(x)
	}
	sink[at] += x
}

func withRegion(at int, times uint64) {
	x, ctx := uint64(1), context.Background()
	for ; times > 0; times-- {
		trace.WithRegion(ctx, "span", func() { x = work(x) })
	}
	sink[at] += x
}

func startRegion(at int, times uint64) {
	x, ctx := uint64(1), context.Background()
	for ; times > 0; times-- {
		region := trace.StartRegion(ctx, "span")
		x = work(x)
		region.End()
	}
	sink[at] += x
}

func on(goroutines int, f func(int, uint64)) func(uint64) time.Duration {
	return func(times uint64) time.Duration {
		var all sync.WaitGroup
		start := time.Now()
		for g := 1; g < goroutines; g++ {
			all.Add(1)
			go func() {
				defer all.Done()
				f(8*g, times)
			}()
		}
		f(0, times)
		all.Wait()
		return time.Since(start)
	}
}

func main() {
	rows := []struct {
		name     string
		f        func(int, uint64)
		threads  int
		recorded bool
		times    uint64
	}{
		{"a span: Go's trace.WithRegion", withRegion, 1, true, 4000},
		{"a span: Go's trace.StartRegion", startRegion, 1, true, 4000},
		{"on two threads: Go's trace.WithRegion", withRegion, 2, true, 40000},
		{"nobody records: Go's trace.WithRegion", withRegion, 1, false, 4000},
	}
	for _, row := range rows {
		if row.recorded {
			if err := trace.Start(io.Discard); err != nil {
				panic(err)
			}
		}
		var with, without, added []float64
		for pair := 0; pair < 400; pair++ {
			off := float64(on(row.threads, plain)(row.times)) / float64(row.times)
			on := float64(on(row.threads, row.f)(row.times)) / float64(row.times)
			with, without, added = append(with, on), append(without, off), append(added, on-off)
			time.Sleep(5 * time.Millisecond)
		}
		if row.recorded {
			trace.Stop()
		}
		runtime.GC()
		for _, all := range [][]float64{with, without, added} {
			sort.Float64s(all)
		}
		middle := len(with) / 2
		fmt.Printf("%-44s %7.2f ns %7.2f ns   %+.2f ns %22s %+.2f\n",
			row.name, with[middle], without[middle], added[middle], "", with[0]-without[0])
	}
}
