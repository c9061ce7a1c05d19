// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"net/netip"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/wovensdn/woven/pkg/sandbox"
	"github.com/wovensdn/woven/test/e2e/peer/forge"
	"github.com/wovensdn/woven/test/e2e/peer/wire"
)

// advertises sends router advertisements from red, and checks that other pods do not use them: neither those of a
// Subnet without advertisements nor, if the Subnet sends its own, a pod that listens to those.
func (l *lan) advertises() {
	l.Helper()
	l.advertisesTo(l.near, l.green)
	l.patch(l.name, `{"enableIPv6RA":true}`)
	l.create(l.newPod("green", "listens", "n1", nil))
	listens := l.becomes("green", "listens", 40*time.Second)
	l.advertisesTo(listens)
	router := "default via " + l.linkLocal(l.router).String()
	l.wait(time.Minute, "the advertisement of the router", func(ctx context.Context) string {
		out, err := l.inPod(ctx, listens, "ip", "-6", "route")
		l.must(err, "read routes of %s", listens.Name)
		if strings.Contains(out, router) {
			return ""
		}
		return "no route begins with " + router + ":\n" + out
	})
	l.say("a pod that listens uses the advertisement of the router")
}

func (l *lan) advertisesTo(victims ...*corev1.Pod) {
	l.Helper()
	all, prefix := netip.MustParseAddr("ff02::1"), netip.MustParsePrefix("2001:db8:bad::/64")
	own, router := l.linkLocal(mac(l.red)), l.linkLocal(l.router)
	frames := []forge.Frame{
		{Kind: forge.RouterAdvertisement, Source: own, Destination: all, Prefix: prefix},
		{Kind: forge.RouterAdvertisement, Source: router, Destination: all, Prefix: prefix},
		{Kind: forge.RouterAdvertisement, Source: router, Destination: all, Prefix: prefix, SourceMAC: l.router, LinkAddress: mac(l.red)},
	}
	for _, victim := range victims {
		frames = append(frames, forge.Frame{
			Kind: forge.RouterAdvertisement, Source: own, Destination: l.linkLocal(mac(victim)), DestinationMAC: mac(victim), Prefix: prefix,
		})
	}
	l.arrived(l.listenIn(l.green, wire.ListenPort), l.red, frames, l.near, l.to(l.near, l.green, false, "", nil))
	for _, victim := range victims {
		out, err := l.inPod(l.Context(), victim, "sh", "-c", "ip -6 address; ip -6 route")
		l.must(err, "read addresses and routes of %s", victim.Name)
		if strings.Contains(out, "2001:db8:bad:") || strings.Contains(out, own.String()) {
			l.Errorf("%s uses the router advertisement of red:\n%s", victim.Name, out)
			continue
		}
		l.say("%d router advertisements of a pod: %s does not use them", len(frames), victim.Name)
	}
}

// tunnels sends datagrams to the port of Geneve of a node, where only nodes may send.
func (l *lan) tunnels() {
	l.Helper()
	for n := 1; n <= l.cluster.Nodes(); n++ {
		var frames []forge.Frame
		var want []string
		var end forge.Frame
		for _, v6 := range both {
			f := l.to(l.red, l.red, v6, "Geneve", func(f *forge.Frame) {
				f.Destination, f.DestinationMAC, f.Port = sandbox.NodeAddr(n, v6), l.router, genevePort
			})
			end = f
			end.Port = wire.ListenPort
			other := end
			other.Text = l.to(l.red, l.red, v6, "another port", nil).Text
			want = append(want, other.Text)
			forged := f
			forged.Source, forged.Text = sandbox.NodeAddr(3-n, v6), f.Text+" of a node"
			same := end
			same.Source, same.Text = sandbox.NodeAddr(3-n, v6), other.Text+" of a node"
			frames = append(frames, f, forged, same, other)
		}
		got := l.arrived(l.listenOn(n, wire.ListenPort, genevePort), l.red, frames, l.red, end)
		l.sameTexts("datagrams of a pod to "+sandbox.NodeName(n), got, want)
	}
}
