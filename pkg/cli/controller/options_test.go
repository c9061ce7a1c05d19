// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/wovensdn/woven/pkg/cli"
)

// parse reads flags as the command does, without running it.
func parse(t *testing.T, args ...string) (*options, error) {
	t.Helper()
	o := defaults()
	all := pflag.NewFlagSet("test", pflag.ContinueOnError)
	sets := o.flags()
	for _, name := range sets.Order {
		all.AddFlagSet(sets.FlagSets[name])
	}
	if err := all.Parse(args); err != nil {
		return nil, err
	}
	return o, o.validate()
}

func TestDefaultsAreValid(t *testing.T) {
	o, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.bind(); got != "127.0.0.1:10660" {
		t.Errorf("bind address is %q", got)
	}
}

func TestDualStack(t *testing.T) {
	o, err := parse(t, "--default-cidr=10.16.0.0/16,fd00:10:16::/64", "--node-switch-cidr=100.64.0.0/16,fd00:100:64::/64",
		"--service-cluster-ip-range=10.96.0.0/12,fd00:10:96::/112", "--default-exclude-ips=10.16.0.10..10.16.0.20, fd00:10:16::5")
	if err != nil {
		t.Fatal(err)
	}
	if got := o.defaultsOfCluster().Default.ExcludeIPs; len(got) != 2 || got[1] != "fd00:10:16::5" {
		t.Errorf("excluded addresses are %q", got)
	}
}

func TestErrorsNameTheFlag(t *testing.T) {
	for flag, want := range map[string]string{
		"--default-cidr=10.16.0.0/33":          "--default-*: Subnet ovn-default: spec.cidrBlock",
		"--default-gateway=10.17.0.1":          "10.17.0.1 is not in the CIDR",
		"--default-exclude-ips=10.17.0.1":      "--default-*",
		"--node-switch-cidr=fe80::/64":         "--node-switch-*",
		"--node-switch-cidr=10.16.128.0/17":    "--default-cidr and --node-switch-cidr overlap",
		"--default-cidr=10.100.0.0/16":         "--default-cidr and --service-cluster-ip-range overlap",
		"--service-cluster-ip-range=nonsense":  "--service-cluster-ip-range",
		"--cluster-domain=Cluster.Local":       "--cluster-domain",
		"--ovn-nb-addr=nowhere":                "--ovn-nb-addr",
		"--ovn-sb-addr=udp:1.2.3.4:1":          "--ovn-sb-addr",
		"--tls-cert=x":                         "--tls-key",
		"--cluster-router=other":               "--cluster-router",
		"--api-writers=0":                      "--api-writers",
		"--pprof-port=70000":                   "--pprof-port",
		"--leader-elect-lease-duration=1 week": "leader-elect-lease-duration",
		"--no-such-flag":                       "unknown flag",
		"--webhook-self-signed":                "--webhook-bind-address",
		"--webhook-bind-address=:9443":         "--webhook-self-signed",
	} {
		if _, err := parse(t, flag); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", flag, err, want)
		}
	}
}

func TestWebhookFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--webhook-bind-address=:9443", "--webhook-self-signed", "--webhook-host-names=127.0.0.1,woven-webhook.kube-system.svc"},
		{"--webhook-bind-address=:9443", "--webhook-cert-dir=certs"},
	} {
		if o, err := parse(t, args...); err != nil || !o.webhook.enabled() {
			t.Errorf("%q: %v", args, err)
		}
	}
	for _, args := range [][]string{
		{"--webhook-bind-address=:9443", "--webhook-cert-dir=certs", "--webhook-self-signed"},
		{"--webhook-bind-address=:9443", "--webhook-self-signed", "--webhook-host-names=not_a_name"},
		{"--webhook-bind-address=:9443", "--webhook-self-signed", "--webhook-host-names="},
	} {
		if _, err := parse(t, args...); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}

func TestLogger(t *testing.T) {
	o := defaults()
	o.logFormat = "json"
	var out bytes.Buffer
	log, err := o.logger(&out)
	if err != nil {
		t.Fatal(err)
	}
	log.Info("logged", "key", "value")
	log.V(1).Info("debug message")
	if got := out.String(); !strings.Contains(got, `"msg":"logged","key":"value"`) || strings.Contains(got, "debug message") {
		t.Errorf("log is %q", got)
	}
	for _, bad := range []options{{logLevel: "loud", logFormat: "json"}, {logLevel: "info", logFormat: "xml"}} {
		if _, err := bad.logger(io.Discard); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestHelpIsGrouped(t *testing.T) {
	var out bytes.Buffer
	command := NewCommand()
	command.SetOut(&out)
	command.SetArgs([]string{"--help"})
	if err := command.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Database flags:", "API server flags:", "Network flags:", "Leadership flags:", "Observation flags:", "Webhook flags:", "General flags:"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("help has no %q", want)
		}
	}
	for line := range strings.Lines(out.String()) {
		if len(strings.TrimRight(line, " \n")) > cli.Columns {
			t.Errorf("line is too long: %q", line)
		}
	}
}
