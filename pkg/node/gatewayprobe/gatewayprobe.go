// SPDX-License-Identifier: Apache-2.0

// Package gatewayprobe finds out whether the gateways of the join subnet answer, and shows the controller that this
// node works as a gateway while they do.
package gatewayprobe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"k8s.io/utils/clock"
)

// Echo sends echo requests.
type Echo interface {
	// Ping returns nil if gateway answers a request from source.
	Ping(ctx context.Context, source, gateway netip.Addr) error
}

// ICMP is [Echo] by echo requests (RFC 792, RFC 4443) on raw sockets; it needs CAP_NET_RAW.
type ICMP struct {
	// Timeout bounds the wait for an answer.
	Timeout time.Duration
}

// Ping implements [Echo].
func (p ICMP) Ping(ctx context.Context, source, gateway netip.Addr) error {
	network, protocol := "ip4:icmp", 1
	var request, reply icmp.Type = ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply
	if gateway.Is6() {
		network, protocol = "ip6:ipv6-icmp", 58
		request, reply = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	conn, err := icmp.ListenPacket(network, source.String())
	if err != nil {
		return fmt.Errorf("open raw socket on %s: %w", source, err)
	}
	ctx, cancel := context.WithTimeout(ctx, p.Timeout)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		if stop() {
			_ = conn.Close()
		}
	}()
	// The identifier distinguishes our replies from those to other sockets: a raw socket gets all.
	var random [2]byte
	if _, err := rand.Read(random[:]); err != nil {
		return fmt.Errorf("draw an identifier: %w", err)
	}
	id := int(binary.BigEndian.Uint16(random[:]))
	msg := icmp.Message{Type: request, Body: &icmp.Echo{ID: id, Seq: 1, Data: []byte("woven")}}
	b, err := msg.Marshal(nil)
	if err != nil {
		return fmt.Errorf("make echo request: %w", err)
	}
	if _, err := conn.WriteTo(b, &net.IPAddr{IP: gateway.AsSlice()}); err != nil {
		return fmt.Errorf("send echo request to %s: %w", gateway, err)
	}
	err = awaitReply(conn, protocol, reply, id, gateway)
	if ctx.Err() != nil {
		return fmt.Errorf("no echo reply from %s within %s", gateway, p.Timeout)
	}
	return err
}

func awaitReply(conn *icmp.PacketConn, protocol int, reply icmp.Type, id int, gateway netip.Addr) error {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return fmt.Errorf("receive echo reply from %s: %w", gateway, err)
		}
		ip, ok := from.(*net.IPAddr)
		if !ok || !ip.IP.Equal(gateway.AsSlice()) {
			continue
		}
		m, err := icmp.ParseMessage(protocol, buf[:n])
		if err != nil || m.Type != reply {
			continue
		}
		if e, ok := m.Body.(*icmp.Echo); ok && e.ID == id {
			return nil
		}
	}
}

const (
	// retryInterval is the time between probes while a gateway does not answer, checkInterval while it does.
	retryInterval, checkInterval = time.Second, 30 * time.Second
	// lostAfter is the number of failed probes in a row after which a gateway counts as lost; lostAfterFast is the same
	// while probes are made every beatInterval.
	lostAfter, lostAfterFast = 3, 5
)

// Hop is a gateway and the address that probes it.
type Hop struct{ Source, Gateway netip.Addr }

// Prober keeps probing the gateways of the join subnet. No event reports that a router answers, so this is polled.
type Prober struct {
	echo  Echo
	clock clock.Clock
	// changed is called when the verdict may have changed, answered when all gateways have answered. They must not
	// block.
	changed, answered func()

	mu    sync.Mutex
	hops  []Hop
	wake  chan struct{}
	fails int
	// fast is set to probe every beatInterval, whether or not the gateways answer.
	fast bool
	// verdict is nil while all gateways answer.
	verdict error
	decided bool
}

var errNoGateway = errors.New("not probed yet")

// New returns a prober. changed is called when the verdict may have changed, answered when all gateways have answered;
// neither may block.
func New(e Echo, c clock.Clock, changed, answered func()) *Prober {
	return &Prober{echo: e, clock: c, changed: changed, answered: answered, wake: make(chan struct{}, 1), verdict: errNoGateway}
}

// Set replaces the gateways to probe. If they are new, they are probed at once.
func (p *Prober) Set(hops []Hop) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Equal(p.hops, hops) {
		return
	}
	p.hops, p.verdict, p.decided, p.fails = hops, errNoGateway, false, 0
	p.Wake()
}

// PollFast says whether to probe every second even while all gateways answer.
func (p *Prober) PollFast(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if yes && !p.fast {
		p.Wake()
	}
	p.fast = yes
}

// Wake probes soon: something changed that may have brought a gateway back.
func (p *Prober) Wake() { wake(p.wake) }

// State returns the verdict: nil if all gateways answer; known is false as long
// as none is decided.
func (p *Prober) State() (known bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.decided, p.verdict
}

// Run probes until ctx ends.
func (p *Prober) Run(ctx context.Context) {
	for {
		next := p.Round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-p.clock.After(next):
		}
	}
}

// Round probes every gateway once and returns the time to the next round.
func (p *Prober) Round(ctx context.Context) time.Duration {
	p.mu.Lock()
	hops := p.hops
	p.mu.Unlock()
	if len(hops) == 0 {
		return checkInterval
	}
	began := p.clock.Now()
	var errs []error
	for _, h := range hops {
		errs = append(errs, p.echo.Ping(ctx, h.Source, h.Gateway))
	}
	err := errors.Join(errs...)
	if ctx.Err() != nil {
		return checkInterval
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !slices.Equal(p.hops, hops) {
		return 0 // the result is that of former gateways
	}
	if err == nil {
		p.record(nil)
		p.answered()
		if p.fast {
			return beatInterval
		}
		return checkInterval
	}
	p.fails++
	if p.fast {
		if p.fails >= lostAfterFast {
			p.record(err)
		}
		return max(0, beatInterval-p.clock.Since(began)) // the wait for an answer is part of the interval
	}
	if p.fails >= lostAfter {
		p.record(err)
	}
	return retryInterval
}

// record stores a verdict; the caller holds mu.
func (p *Prober) record(err error) {
	isNew := !p.decided || (err == nil) != (p.verdict == nil)
	p.decided, p.verdict = true, err
	if err == nil {
		p.fails = 0
	}
	if isNew {
		p.changed()
	}
}
