#!/usr/bin/perl
# Runs the end-to-end script with Perl's driver: run_script.pl URI SCRIPT
use strict;
use warnings;
use utf8;

use BSON;
use BSON::Bytes;
use JSON::PP;
use MIME::Base64 qw(decode_base64);
use MongoDB;
use Scalar::Util qw(blessed);
use Tie::IxHash;

my ($uri, $script) = @ARGV;
my $json   = JSON::PP->new->utf8->canonical->allow_bignum(0)->convert_blessed;
my $client = MongoDB->connect($uri, {bson_codec => BSON->new(wrap_numbers => 1)});
my ($passed, $failed) = (0, 0);

# Documents for comparison: BSON there and back gives both sides the same types.
sub plain {
    my ($value) = @_;
    my $bytes = BSON->new->encode_one({v => $value});
    local $ENV{BSON_EXTJSON} = 1;
    return $json->encode(BSON->new(wrap_numbers => 1, wrap_strings => 1)->decode_one($bytes));
}

# Extended JSON's values as BSON's. (BSON->inflate_extjson fails on arrays within arrays.)
sub inflate {
    my ($value) = @_;
    return [map { inflate($_) } @$value] if ref $value eq 'ARRAY';
    return $value unless ref $value eq 'HASH';
    my ($key) = keys %$value;
    if (keys %$value == 1 && $key eq '$binary') {
        my $binary = $value->{$key};
        return BSON::Bytes->new(data => decode_base64($binary->{base64}), subtype => hex $binary->{subType});
    }
    if (keys %$value == 1 && $key =~ /^\$(?:number|oid$|date$)/) {
        return BSON->new->inflate_extjson({v => $value})->{v};
    }
    return {map { $_ => inflate($value->{$_}) } keys %$value};
}

sub pairs { Tie::IxHash->new(map { @$_ } @{$_[0]}) }

my %verbs = (drop => sub { $_[0]->drop; {} });
$verbs{insert} = sub {
    my $result = $_[0]->insert_many($_[1]{documents});
    return {inserted => scalar keys %{$result->inserted_ids}};
};
$verbs{count} = sub { {n => $_[0]->count_documents($_[1]{filter})} };
$verbs{find}  = sub {
    my ($collection, $step) = @_;
    my %options;
    $options{sort} = pairs($step->{sort}) if $step->{sort};
    for my $name (qw(limit skip batchSize projection)) {
        $options{$name} = $step->{$name} if defined $step->{$name};
    }
    return {documents => [$collection->find($step->{filter}, \%options)->all]};
};
$verbs{createIndex} = sub {
    my ($collection, $step) = @_;
    $collection->indexes->create_one([map { @$_ } @{$step->{keys}}], $step->{options});
    return {};
};
$verbs{update} = sub {
    my ($collection, $step) = @_;
    my $method = $step->{multi} ? 'update_many' : 'update_one';
    my $result = $collection->$method($step->{filter}, $step->{update}, {upsert => $step->{upsert} ? 1 : 0});
    return {matched => $result->matched_count, modified => $result->modified_count};
};
$verbs{delete} = sub {
    my ($collection, $step) = @_;
    my $method = $step->{multi} ? 'delete_many' : 'delete_one';
    return {deleted => $collection->$method($step->{filter})->deleted_count};
};
$verbs{aggregate} = sub { {documents => [$_[0]->aggregate($_[1]{pipeline})->all]} };
$verbs{distinct}  = sub {
    return {values => [sort map {"$_"} $_[0]->distinct($_[1]{field}, $_[1]{filter})->all]};
};

open my $file, '<:raw', $script or die "$script: $!";
my $number = -1;
while (my $line = <$file>) {
    $line =~ s/,?\n\z//;
    next unless $line =~ /^\{/;
    $number++;
    my $step       = inflate($json->decode($line));
    my $collection = $client->get_namespace("end_to_end.$step->{collection}");
    my $got        = eval { $verbs{$step->{do}}->($collection, $step) };
    my $problem    = '';
    if (my $error = $@) {
        my $code = blessed $error && $error->can('code') ? $error->code : -1;
        if (blessed $error && $error->can('result') && $error->result->can('write_errors')
            && @{$error->result->write_errors // []}) {
            $code = $error->result->write_errors->[0]{code};
        }
        $problem = "$error" unless defined $step->{error} && $code == $step->{error};
    }
    elsif (defined $step->{error}) { $problem = "expected error $step->{error}" }
    elsif ($step->{expect} && plain($got) ne plain($step->{expect})) {
        $problem = 'expected ' . plain($step->{expect}) . "\n     got " . plain($got);
    }
    if ($problem) { $failed++; print "step $number $step->{do}: ", substr($problem, 0, 1500), "\n" }
    else          { $passed++ }
}
print "Perl's driver: $passed passed, $failed failed\n";
exit($failed > 0);
