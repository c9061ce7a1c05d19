// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/wovensdn/woven/pkg/apihealth"
	"github.com/wovensdn/woven/pkg/kube"
	"github.com/wovensdn/woven/pkg/webhook"
)

// webhookOptions are the flags of the validating webhook.
type webhookOptions struct {
	bindAddress string
	certDir     string
	selfSigned  bool
	names       []string
}

func webhookDefaults() webhookOptions {
	return webhookOptions{names: []string{"woven-webhook.kube-system.svc"}}
}

func (o *webhookOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.bindAddress, "webhook-bind-address", o.bindAddress, "Address (HOST:PORT, or :PORT for all addresses) on which the validating webhook is served; empty: no webhook.")
	f.StringVar(&o.certDir, "webhook-cert-dir", o.certDir, "Directory with tls.crt and tls.key for the webhook; the files are read again when they change.")
	f.BoolVar(&o.selfSigned, "webhook-self-signed", o.selfSigned, "Issue the webhook's certificate, store it in the Secret "+webhook.SecretName+" of the Lease's namespace, and write its CA to the ValidatingWebhookConfiguration "+webhook.ConfigurationName+".")
	f.StringSliceVar(&o.names, "webhook-host-names", o.names, "Names and addresses by which the API server reaches the webhook, separated by commas; the certificate of --webhook-self-signed is issued for them.")
}

func (o *webhookOptions) enabled() bool { return o.bindAddress != "" }

// validate checks the flags. Its errors name the invalid flag.
func (o *webhookOptions) validate() error {
	if !o.enabled() {
		if o.certDir != "" || o.selfSigned {
			return errors.New("flags --webhook-cert-dir and --webhook-self-signed need --webhook-bind-address")
		}
		return nil
	}
	if o.selfSigned == (o.certDir != "") {
		return errors.New("flag --webhook-bind-address needs either --webhook-cert-dir or --webhook-self-signed")
	}
	if o.selfSigned && len(o.names) == 0 {
		return errors.New("flag --webhook-host-names: it is empty: a certificate needs at least one name")
	}
	for _, name := range o.names {
		if causes := validation.IsDNS1123Subdomain(name); net.ParseIP(name) == nil && len(causes) > 0 {
			return fmt.Errorf("flag --webhook-host-names: %q is neither an address nor a name: %s", name, causes[0])
		}
	}
	return nil
}

// sink returns the sink of the intake: the engine and, if there is a webhook, the webhook's view of the cluster, which
// is nil otherwise.
func (o *options) sink(engine kube.Sink, apiServers []netip.Addr) (kube.Sink, *webhook.Cluster) {
	if !o.webhook.enabled() {
		return engine, nil
	}
	config := o.compile(apiServers)
	cluster := webhook.NewCluster(config.Placement(), config.Infrastructure())
	return kube.FanOut(engine, cluster), cluster
}

// addWebhook adds the webhook's server to the manager, if there is a webhook.
func (o *options) addWebhook(mgr manager.Manager, cluster *webhook.Cluster, api kubernetes.Interface, health *apihealth.Reporter, clk clock.WithTicker, log logr.Logger) error {
	if cluster == nil {
		return nil
	}
	log = log.WithName("webhook")
	rotator := &webhook.CertRotator{
		Client: api, Namespace: o.lease.Namespace, Names: slices.Clone(o.webhook.names), Clock: clk, Health: health, Log: log,
	}
	server, err := webhook.NewServer(webhook.ServerConfig{
		BindAddress: o.webhook.bindAddress, CertDir: o.webhook.certDir, Certificate: rotator.Certificate,
		Reviewer: &webhook.Reviewer{Kinds: kube.LimitedKinds(o.limits), Cluster: cluster, Log: log}, Clock: clk,
	})
	if err != nil {
		return fmt.Errorf("flags --webhook-*: %w", err)
	}
	if !o.webhook.selfSigned {
		return add(mgr, server)
	}
	return add(mgr, server, rotator)
}
