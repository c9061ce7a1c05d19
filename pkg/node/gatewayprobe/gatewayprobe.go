// Package gatewayprobe finds out whether the gateways of the join subnet answer, and shows the controller that this node
// works as a gateway while they do.
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

// Echo asks a gateway for a sign of life.
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
	// The identifier tells our answers from those of other sockets: raw sockets get them all.
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
	// retryInterval is between questions while a gateway does not answer, checkInterval while it does.
	retryInterval, checkInterval = time.Second, 30 * time.Second
	// lostAfter is how many questions in a row may stay unanswered before a gateway that once answered counts as lost;
	// lostAfterFast is the same where they follow each other twice as fast.
	lostAfter, lostAfterFast = 3, 5
)

// hop is a gateway and the address that asks it.
type Hop struct{ Source, Gateway netip.Addr }

// prober keeps asking the join gateways. Nobody tells a host that a router answers, so this is the one thing here that is polled.
type Prober struct {
	echo  Echo
	clock clock.Clock
	// changed is called when the verdict may have changed, answered when all gateways have answered. They must not block.
	changed, answered func()

	mu    sync.Mutex
	hops  []Hop
	wake  chan struct{}
	fails int
	// fast: ask every beatInterval, whether or not the gateways answer.
	fast bool
	// verdict is nil while all gateways answer.
	verdict error
	asked   bool
}

var errNoGateway = errors.New("not asked yet")

func New(e Echo, c clock.Clock, changed, answered func()) *Prober {
	return &Prober{echo: e, clock: c, changed: changed, answered: answered, wake: make(chan struct{}, 1), verdict: errNoGateway}
}

// Set says which gateways to ask. If they are new, the next question is asked at once.
func (p *Prober) Set(hops []Hop) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.Equal(p.hops, hops) {
		return
	}
	p.hops, p.verdict, p.asked, p.fails = hops, errNoGateway, false, 0
	p.Wake()
}

// PollFast says whether to ask every second, and not only now and then while all is well.
func (p *Prober) PollFast(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if yes && !p.fast {
		p.Wake()
	}
	p.fast = yes
}

// Wake asks soon: something changed that may have brought a gateway back.
func (p *Prober) Wake() { poke(p.wake) }

// State returns the verdict: nil if all gateways answer; known is false as long
// as none is settled.
func (p *Prober) State() (known bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked, p.verdict
}

// Run asks until ctx ends.
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

// Round asks every gateway once and returns when to ask again.
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
		return 0 // the answer is about yesterday's gateways
	}
	if err == nil {
		p.settle(nil)
		p.answered()
		if p.fast {
			return beatInterval
		}
		return checkInterval
	}
	p.fails++
	if p.fast {
		if p.fails >= lostAfterFast {
			p.settle(err)
		}
		return max(0, beatInterval-p.clock.Since(began)) // the wait for an answer is part of the interval
	}
	if p.fails >= lostAfter {
		p.settle(err)
	}
	return retryInterval
}

// settle records a verdict; the caller holds mu.
func (p *Prober) settle(err error) {
	news := !p.asked || (err == nil) != (p.verdict == nil)
	p.asked, p.verdict = true, err
	if err == nil {
		p.fails = 0
	}
	if news {
		p.changed()
	}
}
