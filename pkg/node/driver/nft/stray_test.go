// SPDX-License-Identifier: Apache-2.0

package nft_test

import (
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/wovensdn/woven/pkg/model"
	"github.com/wovensdn/woven/pkg/node/driver/nft"
	"github.com/wovensdn/woven/pkg/node/driver/nstest"
	"github.com/wovensdn/woven/pkg/node/hostplan"
)

// arrival is how long a segment that must not be there may take to be read.
const arrival = 100 * time.Millisecond

// reset is a TCP segment with RST and ACK, of no connection that anybody knows.
func reset(from, to netip.Addr) []byte {
	const rstAck = 0x14
	b := make([]byte, 20)
	binary.BigEndian.PutUint16(b[0:], 40000)
	binary.BigEndian.PutUint16(b[2:], echoPort)
	b[12], b[13] = 5<<4, rstAck
	// The checksum covers addresses, protocol and length as well (RFC 9293 section 3.1, RFC 8200 section 8.1).
	sum := uint32(6 + len(b))
	for _, part := range [][]byte{from.AsSlice(), to.AsSlice(), b} {
		for i := 0; i < len(part); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(part[i:]))
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(b[16:], ^uint16(sum)) //nolint:gosec // folded
	return b
}

// raw is a socket that sees all TCP segments to an address.
func (w *wire) raw(ns *nstest.Namespace, a netip.Addr) *net.IPConn {
	network := "ip4:tcp"
	if a.Is6() {
		network = "ip6:tcp"
	}
	var conn *net.IPConn
	ns.Do(func() {
		var err error
		if conn, err = net.ListenIP(network, &net.IPAddr{IP: a.AsSlice()}); err != nil {
			w.t.Fatalf("listen on %s: %v", a, err)
		}
	})
	w.t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// stray sends a segment of no connection from the pod and returns the source address under which it arrived; "" if it
// did not within the time.
func (w *wire) stray(from, at *net.IPConn, limit time.Duration) string {
	source, _ := netip.AddrFromSlice(from.LocalAddr().(*net.IPAddr).IP)
	target, _ := netip.AddrFromSlice(at.LocalAddr().(*net.IPAddr).IP)
	if _, err := from.WriteTo(reset(source.Unmap(), target.Unmap()), at.LocalAddr()); err != nil {
		return err.Error()
	}
	// What is sent later arrives later: once this is answered, the segment is there or lost.
	w.seen(target.Unmap())
	if err := at.SetReadDeadline(time.Now().Add(limit)); err != nil {
		return err.Error()
	}
	_, addr, err := at.ReadFrom(make([]byte, 64))
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ""
	case err != nil:
		return err.Error()
	}
	return addr.String()
}

// What no connection explains, and the kernel would therefore not translate, does not leave with a pod's address
// where pods' addresses shall be translated; everything else passes.
func TestNothingLeavesUntranslated(t *testing.T) {
	w := newWire(t)
	d := &nft.Driver{}
	from4, from6 := w.raw(w.pod, podAddr4), w.raw(w.pod, podAddr6)
	at4, at6, atOther := w.raw(w.outside, outside4), w.raw(w.outside, outside6), w.raw(w.outside, other4)
	for _, c := range []struct {
		name               string
		subnet             hostplan.Subnet
		out4, other4, out6 bool
	}{
		{"no NAT", hostplan.Subnet{}, true, true, true},
		{"NAT", hostplan.Subnet{NATOutgoing: true}, false, false, false},
		{"centralized", hostplan.Subnet{NATOutgoing: true, Centralized: true, Egress: gatewayNode("n1")}, false, false, false},
		{"rule that forwards", ruled(model.NATRule{Destinations: one(other4)}), false, true, false},
		{"rule that translates first", ruled(model.NATRule{Destinations: one(other4), NAT: true}, model.NATRule{}), true, false, true},
	} {
		w.apply(d, c.subnet)
		for _, p := range []struct {
			from, at *net.IPConn
			passes   bool
		}{{from4, at4, c.out4}, {from4, atOther, c.other4}, {from6, at6, c.out6}} {
			want, limit := "", arrival
			if p.passes {
				want, limit = p.from.LocalAddr().String(), packetTimeout
			}
			if got := w.stray(p.from, p.at, limit); got != want {
				t.Errorf("%s: a stray segment to %s is seen from %q; want %q", c.name, p.at.LocalAddr(), got, want)
			}
		}
	}
	w.strayInside(d, from4, atOther)
}

// strayInside: to nodes, and between pods, stray segments pass.
func (w *wire) strayInside(d *nft.Driver, from, at *net.IPConn) {
	w.t.Helper()
	pods := hostplan.Subnet{Name: "pods", Vpc: "ovn-cluster", CIDRs: []netip.Prefix{pods4, pods6}, NATOutgoing: true}
	more := hostplan.Subnet{Name: "more", Vpc: "ovn-cluster", CIDRs: one(other4)}
	for name, world := range map[string]hostplan.Inputs{
		"a pod":  {Subnets: []hostplan.Subnet{pods, more}},
		"a node": {Subnets: []hostplan.Subnet{pods}, NodeAddresses: []netip.Addr{other4}},
	} {
		world.Node.Name, world.DefaultVpc = "n1", "ovn-cluster"
		w.node.Do(func() {
			if _, err := d.Apply(w.t.Context(), hostplan.Make(world).Table); err != nil {
				w.t.Error(err)
			}
		})
		if got := w.stray(from, at, packetTimeout); got != podAddr4.String() {
			w.t.Errorf("a stray segment to %s is seen from %q; want %s", name, got, podAddr4)
		}
	}
}
