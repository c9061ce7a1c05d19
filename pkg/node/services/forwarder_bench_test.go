// SPDX-License-Identifier: Apache-2.0

package services

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-logr/logr"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/wovensdn/woven/pkg/node/driver/conntrack"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/driver/nstest"
)

// BenchmarkServiceEvent is an endpoint that comes or goes on this node, beside many
// Services with NodePorts, one in ten of them local, with ten endpoints each: until the
// kernel has it. "start" is the first pass of a node that comes up.
func BenchmarkServiceEvent(b *testing.B) {
	for _, count := range []int{10, 1000, 10000} {
		b.Run(fmt.Sprintf("services=%d", count), func(b *testing.B) {
			h := &fakeHost{}
			s := New(Edges{
				Tables: &nft.Driver{}, Flows: conntrack.Linux{}, Datapath: fakeDatapath{h}, Health: h,
				Clock: clocktesting.NewFakeClock(time.Unix(1, 0)), Log: logr.Discard(), Changed: func(int) {},
			})
			s.SetInputs(inputs())
			for i := range count {
				change := local
				if i%10 > 0 {
					change = nil
				}
				name := fmt.Sprint("s", i)
				s.ServiceChanged(nodePortService(name, fmt.Sprintf("10.96.%d.%d", i/250, i%250), int32(20000+i), change), false) //nolint:gosec // a port
				s.SliceChanged(endpointSlice(name, "n1", tenAddresses(i)...), false)
			}
			ns := nstest.New(b)
			ns.Do(func() {
				start := time.Now()
				if err := s.pass(b.Context()); err != nil {
					b.Fatal(err)
				}
				took := time.Since(start).Seconds()
				b.ResetTimer()
				for i := range b.N {
					s.SliceChanged(endpointSlice("s0", "n1", tenAddresses(0)[i%2:]...), false)
					if err := s.pass(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(took, "start-s")
			})
		})
	}
}

func tenAddresses(i int) (out []string) {
	for n := range 10 {
		out = append(out, fmt.Sprintf("10.%d.%d.%d", 16+i/6250, i/25%250, i%25*10+n))
	}
	return out
}
