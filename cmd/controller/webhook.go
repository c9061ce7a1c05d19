package main

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
	f.StringVar(&o.bindAddress, "webhook-bind-address", o.bindAddress, "Address (host:port, or :port for all) that the validating webhook is served on; empty: there is none.")
	f.StringVar(&o.certDir, "webhook-cert-dir", o.certDir, "Directory with tls.crt and tls.key for the webhook; they are read again when they change.")
	f.BoolVar(&o.selfSigned, "webhook-self-signed", o.selfSigned, "Make the webhook's certificate, keep it in the Secret "+webhook.SecretName+" of the Lease's namespace, and write its CA into the ValidatingWebhookConfiguration "+webhook.ConfigurationName+".")
	f.StringSliceVar(&o.names, "webhook-host-names", o.names, "Names and addresses that the API server asks the webhook by, separated by commas; the certificate that --webhook-self-signed makes is for them.")
}

func (o *webhookOptions) enabled() bool { return o.bindAddress != "" }

// validate names the flag at fault.
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
		return errors.New("flag --webhook-host-names: it is empty: a certificate is for one name at least")
	}
	for _, name := range o.names {
		if causes := validation.IsDNS1123Subdomain(name); net.ParseIP(name) == nil && len(causes) > 0 {
			return fmt.Errorf("flag --webhook-host-names: %q is neither an address nor a name: %s", name, causes[0])
		}
	}
	return nil
}

// sink is what the intake feeds: the engine, and what the webhook knows of the
// cluster, which is nil if there is no webhook.
func (o *options) sink(engine kube.Sink, apiServers []netip.Addr) (kube.Sink, *webhook.Cluster) {
	if !o.webhook.enabled() {
		return engine, nil
	}
	cluster := webhook.NewCluster(o.defaultLS, apiServers)
	return kube.Tee(engine, cluster), cluster
}

// addWebhook adds what serves the webhook, if there is one.
func (o *options) addWebhook(mgr manager.Manager, cluster *webhook.Cluster, api kubernetes.Interface, outage *apihealth.Reporter, clk clock.WithTicker, log logr.Logger) error {
	if cluster == nil {
		return nil
	}
	log = log.WithName("webhook")
	keeper := &webhook.Keeper{
		Client: api, Namespace: o.lease.Namespace, Names: slices.Clone(o.webhook.names), Clock: clk, Outage: outage, Log: log,
	}
	server, err := webhook.NewServer(webhook.ServerConfig{
		BindAddress: o.webhook.bindAddress, CertDir: o.webhook.certDir, Certificate: keeper.Certificate,
		Reviewer: &webhook.Reviewer{Kinds: kube.AllKinds(), Cluster: cluster, Log: log}, Clock: clk,
	})
	if err != nil {
		return fmt.Errorf("flags --webhook-*: %w", err)
	}
	if !o.webhook.selfSigned {
		return add(mgr, server)
	}
	return add(mgr, server, keeper)
}
