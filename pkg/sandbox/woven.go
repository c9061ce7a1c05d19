// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Woven's own programs, in the directory of this one.
const (
	wovenController = "woven-controller"
	wovenCNIServer  = "woven-cniserver"
	wovenCNI        = "woven-cni"
)

// cniSocket is where the CNI plugin dials the cniserver, the path that existing installations use.
const cniSocket = "/run/openvswitch/kube-ovn-daemon.sock"

func (p Plan) controllerService() Service {
	argv := []string{
		filepath.Join(p.WovenBin, wovenController), "--kubeconfig=" + p.Paths.PKI("woven-controller.conf"),
		"--ovn-nb-addr=" + sslAddr(NBPort), "--ovn-sb-addr=" + sslAddr(SBPort),
		// One controller: after a restart it renews its own lease and need not wait until that expires.
		"--leader-elect-identity=sandbox", "--enable-pprof",
		"--namespace-subnet-cidrs=10.74.0.0/16", // so that it can be tried
		"--tls-cert=" + p.Paths.PKI("ovn-nb-client.crt"), "--tls-key=" + p.Paths.PKI("ovn-nb-client.key"), "--tls-ca=" + p.Paths.PKI("ovn-nb-ca.crt"),
	}
	if p.DualStack {
		argv = append(argv,
			"--default-cidr="+join(true, podNet4, podNet6), "--node-switch-cidr="+join(true, joinNet4, joinNet6),
			"--service-cluster-ip-range="+join(true, serviceNet4, serviceNet6))
	}
	if p.OVNDNS {
		argv = append(argv, "--enable-ovn-dns")
	}
	return Service{Name: svcController, Argv: argv, After: []string{svcAPI, svcOVNNB, svcOVNSB}, Gate: p.Paths.Gate(gateWoven)}
}

func (p Plan) cniServerService(n int) Service {
	name := NodeName(n)
	return Service{
		Name: svcCNIServer, After: []string{svcVSwitchd}, Gate: p.Paths.Gate(gateWoven),
		Argv: []string{
			filepath.Join(p.WovenBin, wovenCNIServer), "--kubeconfig=" + p.Paths.PKI("woven-cniserver-"+name+".conf"), "--node-name=" + name,
			"--ovs-socket=unix:" + ovsSocket, "--bind-socket=" + cniSocket, "--cni-conf-dir=/etc/cni/net.d",
		},
	}
}

// checkWoven returns an error that lists the missing programs of Woven.
func (p Plan) checkWoven() error {
	var missing []string
	for _, name := range []string{wovenController, wovenCNIServer, wovenCNI} {
		if _, err := os.Stat(filepath.Join(p.WovenBin, name)); err != nil {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("not in %s: %s (build them with: make build)", p.WovenBin, strings.Join(missing, ", "))
	}
	return nil
}
