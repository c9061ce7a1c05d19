// SPDX-License-Identifier: Apache-2.0

package cniserver

import (
	"net/netip"
	"net/url"
	"strconv"

	"github.com/wovensdn/woven/pkg/model"
)

// defaultAPIPort is the port of a URL with the scheme https that names none.
const defaultAPIPort = 443

// servers are the API servers as far as the process knows them without asking one.
type servers struct {
	addresses []netip.Addr
	// clusterIP is KUBERNETES_SERVICE_HOST, which usually is a ClusterIP; the zero Addr outside of pods.
	clusterIP netip.Addr
	ports     []netip.AddrPort
}

// apiServers reads the configured URL or host of the API server, and the environment variables of pods.
func apiServers(configured, serviceHost, servicePort string) servers {
	s := servers{addresses: model.APIServerAddresses(configured, serviceHost)}
	s.clusterIP, _ = netip.ParseAddr(serviceHost)
	s.clusterIP = s.clusterIP.Unmap()
	own := ""
	if u, err := url.Parse(configured); err == nil {
		own = u.Port()
	}
	for _, a := range s.addresses {
		s.ports = append(s.ports, netip.AddrPortFrom(a, portOf(own)))
	}
	if s.clusterIP.IsValid() {
		s.ports = append(s.ports, netip.AddrPortFrom(s.clusterIP, portOf(servicePort)))
	}
	return s
}

func portOf(text string) uint16 {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return defaultAPIPort
	}
	return uint16(port)
}
